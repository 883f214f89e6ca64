"""EasyOCR's networks for OCR, with their pre- and postprocessing."""
