"""Histories: tables under one privacy unit, measured at the unit, modelled as chains of rows, and drawn again."""
