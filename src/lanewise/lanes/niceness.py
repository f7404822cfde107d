"""How much nicer than the event loop whatever computes beside it is, where niceness decides who runs."""

# Five steps down, a thread or process gets a third of the loop's share where cores are short: the loop,
# which has little to do each time, gets its core at once, and what computes loses next to nothing.
NICER = 5
# The kernel knows nothing nicer.
NICEST = 19
