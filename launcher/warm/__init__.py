"""The fork server: a program for the environment's own python, sent to it as text."""
