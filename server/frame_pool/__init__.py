"""The frame pool: which bytes of the arena hold what, and who leases them."""
