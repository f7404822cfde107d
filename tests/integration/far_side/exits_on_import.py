import sys

sys.exit("not meant to be imported")
