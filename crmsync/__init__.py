"""crmsync scores the people in Salesforce and HubSpot and writes the result back."""
