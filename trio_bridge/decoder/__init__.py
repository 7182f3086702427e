"""Second stage: pages of JSON rows into batches of lines, by a mapping that is fixed when the route starts.

`stage` is the Trio side; `mapping` is made of catalogue and configuration, `encoder` applies it (`quick_encoding` to
good rows, `values` to all others), `series` gives each value of a column fields of its own, `lines` knows the grammar.
"""
