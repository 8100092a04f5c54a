"""Spreadsheets: cells, row by row, from four kinds of workbook; ``reading`` makes columns of them.

What a workbook's file looks like inside stays in ``xlsx``, ``xlsb``, ``ods`` and ``xls``. Headers, types and notes are
not known there.
"""
