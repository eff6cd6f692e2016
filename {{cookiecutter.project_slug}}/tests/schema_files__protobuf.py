"""The schema file that Protocol Buffers files of the tests are written and read with."""

FILES = {
    "record.proto": """syntax = "proto3";
message Record {
  optional string id = 1;
  optional double value = 2;
}
"""
}
