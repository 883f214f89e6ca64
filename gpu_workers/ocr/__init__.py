"""The engines of OCR: EasyOCR's networks, and RapidOCR."""
