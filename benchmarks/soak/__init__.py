"""One launcher, many servers, and minutes of everything that can go wrong: what is left over?"""
