"""Stacks: what a SAM or CloudFormation template asks for. Pure; cli/stack.py deploys it."""
