"""The values that pass between the parts: specs, intervals, plans, entries of the lake, receipts, events.

All are frozen and know nothing of files, databases or clocks. Nothing here may import a store, a stage
or a driver.
"""
