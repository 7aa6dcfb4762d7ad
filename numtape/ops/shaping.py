"""What the ops on shapes and matrices add to the public names: methods, functions, and what stays private."""

from __future__ import annotations

from numtape.ops import arrange, decompose, products, reinterpret, stacks

METHODS = arrange.METHOD_ONLY | stacks.METHOD_ONLY | reinterpret.METHOD_ONLY | products.METHOD_ONLY | decompose.METHOD_ONLY
FUNCTIONS = arrange.FUNCTIONS | stacks.FUNCTIONS | reinterpret.FUNCTIONS | decompose.FUNCTIONS
FUNCTION_ONLY = arrange.FUNCTION_ONLY | stacks.FUNCTION_ONLY | reinterpret.FUNCTION_ONLY | products.FUNCTION_ONLY
PRIVATE = reinterpret.PRIVATE
