"""From the feature table to an exported, verified model."""

import os

# Threads that wait for work sleep. By default those of scikit-learn spin, and on cores that others
# need as well, fitting boosted trees then takes twenty times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
