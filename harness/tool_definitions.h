// The toolset's tools as a language model is told of them.
#ifndef MIDWATCH_HARNESS_TOOL_DEFINITIONS_H_
#define MIDWATCH_HARNESS_TOOL_DEFINITIONS_H_

#include <set>
#include <string>

#include "harness/json.h"

namespace midwatch::harness {

// An array of {name, description, input_schema}, always in the same order (a
// prompt's cache goes by that).
Json ToolDefinitions(const std::set<std::string>& names);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_TOOL_DEFINITIONS_H_
