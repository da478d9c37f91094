"""The app at the clinician's side: launched by the EHR, it shows what Bedside wrote about the open patient."""
