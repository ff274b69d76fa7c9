#include "store/labels.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace midwatch {

std::string LabelLine(const std::string& key, const std::string& value) {
  return absl::StrCat(key, "=", value);
}

std::string LabelLines(const Labels& labels) {
  std::string lines;
  for (const auto& [key, value] : labels) {
    absl::StrAppend(&lines, LabelLine(key, value), "\n");
  }
  return lines;
}

Labels LabelsFromLines(const std::string& lines) {
  Labels labels;
  for (absl::string_view line :
       absl::StrSplit(lines, '\n', absl::SkipEmpty())) {
    labels.insert(absl::StrSplit(line, absl::MaxSplits('=', 1)));
  }
  return labels;
}

}  // namespace midwatch
