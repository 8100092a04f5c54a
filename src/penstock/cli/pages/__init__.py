"""Reports as HTML files that stand alone. What a report says is made elsewhere; here it is drawn, and escaped."""
