"""A folder of DICOM to a volume in HU with proven geometry."""
