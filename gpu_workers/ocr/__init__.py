"""What OCR is made of: EasyOCR's networks, and the steps around them."""
