"""The probe sees: it runs on the instance, standard library alone, and imports nothing of driftd.

Everything here keeps to Python 3.6 syntax and to the modules that Debian's python3-minimal has.
"""
