"""What the template costs, measured beside its peers and the physical limit."""
