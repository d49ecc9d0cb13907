"""Events from outside the CRMs: read from files or a database, or received over HTTP, and handed over in pages."""
