"""The schema file that Avro files of the tests are written with."""

FILES = {
    "record.avsc": """{"type": "record", "name": "record", "fields": [
  {"name": "id", "type": ["null", "string"], "default": null},
  {"name": "value", "type": ["null", "double"], "default": null}
]}"""
}
