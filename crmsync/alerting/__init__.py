"""What is wrong, and whom it is news to: conditions found in what a run left, and what of them is told."""
