"""One function for each operator, in files by family; which is right for what is said in ``table``."""
