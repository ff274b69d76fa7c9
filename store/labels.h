// Labels as the tables hold them: "key=value", one a line, by rising key. Keys
// hold no "=" and neither part a line's end.
#ifndef MIDWATCH_STORE_LABELS_H_
#define MIDWATCH_STORE_LABELS_H_

#include <string>

#include "store/records.h"

namespace midwatch {

std::string LabelLine(const std::string& key, const std::string& value);
std::string LabelLines(const Labels& labels);
Labels LabelsFromLines(const std::string& lines);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_LABELS_H_
