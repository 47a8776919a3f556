"""What the flags of ``run`` and ``create`` say, one file for each group of them."""
