"""Workers: the streams that they open, and how attempts travel on them."""
