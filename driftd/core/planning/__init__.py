"""Planning: what replacements would do, in which order and waves, and what they wait for, before any of them begins.

Nothing here has rules of its own. Order is that of core/guards/order.py, what waits is what core/guards refuse, steps
are those of a rehearsal by core/decide.py. What was read comes in (reading.py), a plan goes out (plan.py), as a
document that is digested (document.py) and held against a second reading before it is applied (stale.py).
"""
