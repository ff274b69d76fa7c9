#ifndef MIDWATCH_BASE_PLACEHOLDER_H_
#define MIDWATCH_BASE_PLACEHOLDER_H_

#include "absl/strings/string_view.h"

namespace midwatch {

// Letters, digits, _ - and . : what a parameter may be called.
bool IsPlaceholderName(absl::string_view name);

// Takes `name}}`, with spaces around the name, off the beginning of `text`,
// which is what follows "{{"; returns "" and takes nothing where it begins
// otherwise. A name is as above, or tasks.NAME.message with whatever a task may
// be called but braces: "tasks.docs/a b.message". Never looks past the next
// brace, and no further than the longest name: many open braces must not make a
// text slow.
absl::string_view TakePlaceholder(absl::string_view& text);

// {{"{{"}} stands for two open braces that are text. Takes `"{{"}}`, with
// spaces around the quotes, off the beginning of `text`, which is what follows
// "{{"; false, and nothing is taken, where it begins otherwise.
bool TakeLiteralBraces(absl::string_view& text);
inline constexpr char kLiteralBraces[] = "{{\"{{\"}}";

}  // namespace midwatch

#endif  // MIDWATCH_BASE_PLACEHOLDER_H_
