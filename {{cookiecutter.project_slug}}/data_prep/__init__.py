"""From raw records to a validated feature table."""
