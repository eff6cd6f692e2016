"""From the feature table to an exported, verified model."""
