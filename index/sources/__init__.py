"""Bytes of the listed works: fetched, validated, stored once by hash."""
