"""Receives FHIR notifications, authenticates them and puts events on the queue."""
