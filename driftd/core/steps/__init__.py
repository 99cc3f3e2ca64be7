"""What a replacement decides in each state, one function a state; core/decide.py asks them."""
