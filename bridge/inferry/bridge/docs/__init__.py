"""The page of endpoints: what there is, and a way to try it. One text, which loads nothing else."""
