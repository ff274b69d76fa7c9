// `{{name}}` in texts: letters, digits, _ - and . between double braces, with
// or without spaces around. {{"{{"}} stands for two braces that are text, and
// other braces are text, too. The scheduler fills in what stays by the same
// rule.
#ifndef MIDWATCH_CLI_TEMPLATE_TEXT_H_
#define MIDWATCH_CLI_TEMPLATE_TEXT_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace midwatch::cli {

using Values = std::map<std::string, std::string>;

bool IsParameterName(absl::string_view name);

// Whether a text is filled in for the last time, or once more by the scheduler.
enum class Filling { kLast, kFirst };

// `text` with each {{name}} that `values` knows replaced, once: a value's own
// braces are text. The names that it does not know stay as they are and are
// added to `unknown`, each as often as it stands there. {{"{{"}} becomes two
// braces with the last filling; before it, it stays, and a value's braces
// become such ones.
std::string FillIn(absl::string_view text, const Values& values,
                   std::vector<std::string>* unknown,
                   Filling filling = Filling::kLast);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_TEMPLATE_TEXT_H_
