"""People in files instead of CRMs."""
