#include "harness/tool_definitions.h"

namespace midwatch::harness {
namespace {

constexpr char kDefinitions[] = R"json([
{"name": "bash",
 "description": "Runs a command in the session's bash. The working directory, variables and background processes last from call to call within a turn. Output and errors come together; of long output the last 100 KiB are shown. Standard input is empty.",
 "input_schema": {"type": "object", "properties": {
   "command": {"type": "string", "description": "What to run; not needed with restart."},
   "restart": {"type": "boolean", "description": "End the shell with all its processes, and begin in a fresh one."},
   "timeout_ms": {"type": "integer", "minimum": 1, "description": "After this time the command and the shell are killed."}}}},
{"name": "edit",
 "description": "Replaces old_string by new_string in a file, byte for byte. old_string must be there exactly once, unless replace_all is true.",
 "input_schema": {"type": "object", "properties": {
   "file_path": {"type": "string"},
   "old_string": {"type": "string"},
   "new_string": {"type": "string"},
   "replace_all": {"type": "boolean"}},
  "required": ["file_path", "old_string", "new_string"]}},
{"name": "glob",
 "description": "Lists the files whose path matches a pattern such as **/*.{h,cc}, the last changed first, at most 200. Leaves out .git and node_modules.",
 "input_schema": {"type": "object", "properties": {
   "pattern": {"type": "string", "description": "Relative to path; ** stands for any directories."},
   "path": {"type": "string", "description": "The directory to search; the working directory if not given."}},
  "required": ["pattern"]}},
{"name": "grep",
 "description": "Finds lines that match a Perl-compatible regular expression, in a file or in all text files below a directory, as PATH:LINE:TEXT. Leaves out .git and node_modules.",
 "input_schema": {"type": "object", "properties": {
   "pattern": {"type": "string"},
   "path": {"type": "string", "description": "The file or directory to search; the working directory if not given."}},
  "required": ["pattern"]}},
{"name": "read",
 "description": "Shows a text file, or some of its lines; at most 256 KiB.",
 "input_schema": {"type": "object", "properties": {
   "file_path": {"type": "string"},
   "view_range": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2, "description": "The first line, from 1, and the last one; 0 means the end."}},
  "required": ["file_path"]}},
{"name": "write",
 "description": "Writes a text file, in place of what was there, and makes the directories above it.",
 "input_schema": {"type": "object", "properties": {
   "file_path": {"type": "string"},
   "content": {"type": "string"}},
  "required": ["file_path", "content"]}}
])json";

}  // namespace

Json ToolDefinitions(const std::set<std::string>& names) {
  Json chosen = Json::array();
  for (const Json& definition : ParseJson(kDefinitions)) {
    if (names.count(StringMember(definition, "name")) != 0) {
      chosen.push_back(definition);
    }
  }
  return chosen;
}

}  // namespace midwatch::harness
