"""The fields of declarations: how a value of each kind is decoded and checked."""
