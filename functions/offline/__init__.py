"""What training and evaluation share: data of R packages, and the pages of reports. No function carries it.

A function's folders that run offline (:data:`infra.packaging.artefact.OFFLINE`) may import it; what is served may not.
"""
