"""The faces: each is a loop over the declarations of `endpoints`."""
