#include "cli/yaml_reader.h"

#include <yaml-cpp/eventhandler.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kJsonDepthMax = 64;
constexpr size_t kJsonBytesMax = 32 << 20;

// A mark by offset; yaml-cpp makes none itself.
YAML::Mark MarkAt(absl::string_view text, size_t offset) {
  YAML::Mark mark;
  mark.pos = static_cast<int>(offset);
  mark.line = 0;
  mark.column = 0;
  for (char c : text.substr(0, offset)) {
    mark.column = c == '\n' ? 0 : mark.column + 1;
    mark.line += c == '\n';
  }
  return mark;
}

// YAML has no surrogate pairs, and writers of JSON use them for what lies past
// U+FFFF: "\ud83d\ude00" becomes "\U0001f600", which YAML knows.
std::string JoinSurrogates(const std::string& json) {
  auto unit = [&](size_t at) -> uint32_t {
    uint32_t value = 0;
    if (at + 6 > json.size() || json[at] != '\\' || json[at + 1] != 'u' ||
        !absl::SimpleHexAtoi(json.substr(at + 2, 4), &value)) {
      return 0;
    }
    return value;
  };
  std::string out;
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i] != '\\') {
      out += json[i];
      continue;
    }
    const uint32_t high = unit(i), low = unit(i + 6);
    if (high >= 0xD800 && high < 0xDC00 && low >= 0xDC00 && low < 0xE000) {
      const uint32_t code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
      absl::StrAppend(&out, "\\U", absl::Hex(code, absl::kZeroPad8));
      i += 11;
    } else {
      out += json[i];
      if (i + 1 < json.size()) out += json[++i];  // `\\` is one escape
    }
  }
  return out;
}

// Offset of the first control character that YAML forbids, or npos. (yaml-cpp
// takes U+0004 for the end of the file.)
size_t FindForbiddenControl(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F) {
      return i;
    }
  }
  return absl::string_view::npos;
}

const char* KindOf(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a map";
    case YAML::NodeType::Scalar:
      return "a single value";
    case YAML::NodeType::Null:
    case YAML::NodeType::Undefined:
      break;
  }
  return "nothing";
}

bool IsPlain(const YAML::Node& scalar) { return scalar.Tag() == "?"; }

Json PlainToJson(const std::string& text) {
  if (text == "true" || text == "True") return true;
  if (text == "false" || text == "False") return false;
  // Numbers as JSON writes them: 0x10, .5 or 1_000 are text.
  Json number = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (number.is_number()) return number;
  return text;
}

struct JsonConversion {
  const std::function<std::string(const std::string&)>& fill;
  Complaints& complaints;
  size_t bytes = 0;  // of all that was converted; aliases count each time
  bool failed = false;

  Json Fail(const YAML::Node& node, absl::string_view message) {
    if (!std::exchange(failed, true)) complaints.Add(node.Mark(), message);
    return nullptr;
  }

  Json Convert(const YAML::Node& node, int depth) {
    if (failed) return nullptr;
    if (depth > kJsonDepthMax) {
      return Fail(node, "nested too deeply; expected at most 64 levels");
    }
    bytes += 1 + (node.IsScalar() ? node.Scalar().size() : 0);
    if (bytes > kJsonBytesMax) {
      return Fail(node, "too large; expected at most 32 MiB");
    }
    if (node.IsScalar()) {
      return IsPlain(node) ? PlainToJson(fill(node.Scalar()))
                           : Json(fill(node.Scalar()));
    }
    if (node.IsSequence()) {
      Json list = Json::array();
      for (const YAML::Node& item : node) {
        list.push_back(Convert(item, depth + 1));
      }
      return list;
    }
    if (node.IsMap()) {
      Json map = Json::object();
      for (const auto& entry : node) {
        const YAML::Node& key = entry.first;
        if (!key.IsScalar()) return Fail(key, "a key must be text");
        if (map.contains(key.Scalar())) {
          return Fail(key, absl::StrCat("'", key.Scalar(),
                                        "' is there twice; expected once"));
        }
        map[key.Scalar()] = Convert(entry.second, depth + 1);
      }
      return map;
    }
    return nullptr;
  }
};

class NoEvents final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// Up to two. Behind `{a: b}, c` yaml-cpp finds empty documents without end, so
// it is not asked for all of them.
int CountDocuments(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  NoEvents events;
  int documents = 0;
  while (documents < 2 && parser.HandleNextDocument(events)) ++documents;
  return documents;
}

constexpr char kTornQuote[] =
    "quoted text begins here and has no end; expected a closing quote";

// What the parser says, for people who do not know how it is made.
std::string InWords(const std::string& message) {
  constexpr struct {
    const char* message;
    const char* words;
  } kWords[] = {
      {"illegal EOF in scalar",
       "quoted text has no end; expected a closing quote"},
      {"end of sequence flow not found",
       "a [ before here has no end; expected , or ]"},
      {"end of map flow not found",
       "a { before here has no end; expected , or }"},
      {"end of sequence not found",
       "this does not go on with the list above; look at how far it is "
       "indented"},
      {"end of map not found",
       "this does not go on with the keys above; look at how far it is "
       "indented"},
      {"illegal map value",
       "a ':' where no key can be; text that holds one is to be quoted"},
      {"bad file", "too many levels within each other"},
  };
  for (const auto& each : kWords) {
    if (message == each.message) return each.words;
  }
  return absl::StrCat(message, "; expected YAML or JSON");
}

// What comes last in a document: its place where it is quoted, or a key with no
// value, which may be a quoted one.
std::optional<YAML::Mark> LastQuote(YAML::Node node) {
  // An alias may lead back to where it stands.
  constexpr int kLevelsMax = 64;
  for (int level = 0; level < kLevelsMax; ++level) {
    if (node.IsScalar() && !IsPlain(node)) return node.Mark();
    if ((!node.IsSequence() && !node.IsMap()) || node.size() == 0) {
      return std::nullopt;
    }
    YAML::Node last;
    for (const auto& entry : node) {
      if (node.IsSequence()) {
        last.reset(entry);
      } else {
        last.reset(entry.second.IsNull() ? entry.first : entry.second);
      }
    }
    node.reset(last);
  }
  return std::nullopt;
}

// Where quoted text begins that goes on to the end of the file: the parser
// takes the line break there for its end, and all between for the text.
std::optional<YAML::Mark> FindTornQuote(absl::string_view text,
                                        const YAML::Node& last_document) {
  std::optional<YAML::Mark> quote = LastQuote(last_document);
  if (!quote) return std::nullopt;
  try {
    YAML::LoadAll(std::string(absl::StripTrailingAsciiWhitespace(text)));
  } catch (const YAML::Exception&) {
    return quote;
  }
  return std::nullopt;
}

}  // namespace

void Complaints::Add(const YAML::Mark& mark, absl::string_view message) {
  ++count_;
  if (lines_.size() == kShownMax) return;
  lines_.push_back(absl::StrCat(file_, ":", lines_before_ + mark.line + 1, ":",
                                columns_before_ + mark.column + 1, ": ",
                                message));
}

void Complaints::Take(const Complaints& others) {
  for (const std::string& line : others.lines_) {
    if (lines_.size() < kShownMax) lines_.push_back(line);
  }
  count_ += others.count_;
}

absl::Status Complaints::ToStatus() const {
  if (count_ == 0) return absl::OkStatus();
  std::string text = absl::StrJoin(lines_, "\n");
  if (count_ > lines_.size()) {
    absl::StrAppend(&text, "\n", file_, ": and ", count_ - lines_.size(),
                    " more");
  }
  return absl::InvalidArgumentError(text);
}

std::optional<YAML::Node> ParseYaml(const std::string& text, bool is_json,
                                    Complaints& complaints) {
  if (size_t at = FindInvalidUtf8(text); at != std::string::npos) {
    complaints.Add(MarkAt(text, at),
                   absl::StrCat("byte 0x",
                                absl::Hex(static_cast<unsigned char>(text[at]),
                                          absl::kZeroPad2),
                                " is not UTF-8; expected a file in UTF-8"));
    return std::nullopt;
  }
  if (size_t at = FindForbiddenControl(text); at != std::string::npos) {
    complaints.Add(MarkAt(text, at),
                   absl::StrCat("control character 0x",
                                absl::Hex(static_cast<unsigned char>(text[at]),
                                          absl::kZeroPad2),
                                "; expected text"));
    return std::nullopt;
  }
  try {
    const std::string& yaml = is_json ? JoinSurrogates(text) : text;
    const int documents = CountDocuments(yaml);
    YAML::Node document;
    if (documents > 0) document = YAML::Load(yaml);
    // In JSON the brackets around it are not closed then.
    if (!is_json && documents == 1) {
      if (auto torn = FindTornQuote(text, document)) {
        complaints.Add(*torn, kTornQuote);
        return std::nullopt;
      }
    }
    if (documents == 1) return document;
    complaints.Add(
        MarkAt(text, 0),
        absl::StrCat("the file holds ", documents == 0 ? "nothing" : "several",
                     documents == 0 ? "" : " YAML documents",
                     "; expected one"));
  } catch (const YAML::Exception& e) {
    complaints.Add(e.mark.is_null() ? MarkAt(text, 0) : e.mark, InWords(e.msg));
  }
  return std::nullopt;
}

void ReadMap(const YAML::Node& node, absl::string_view what,
             const std::vector<YamlKey>& keys, Complaints& complaints) {
  auto names = [&] {
    std::vector<absl::string_view> known;
    for (const YamlKey& key : keys) {
      if (key.read) known.push_back(key.name);
    }
    return absl::StrJoin(known, ", ");
  };
  if (!node.IsMap()) {
    complaints.Add(node.Mark(),
                   absl::StrCat(what, " is ", KindOf(node),
                                "; expected a map with ", names()));
    return;
  }
  std::vector<YAML::Node> values(keys.size());
  std::vector<bool> seen(keys.size());
  for (const auto& entry : node) {
    const YAML::Node& name = entry.first;
    size_t i = 0;
    while (i < keys.size() &&
           !(name.IsScalar() && keys[i].name == name.Scalar())) {
      ++i;
    }
    if (i == keys.size()) {
      complaints.Add(
          name.Mark(),
          absl::StrCat("unknown key '",
                       name.IsScalar() ? Printable(name.Scalar()) : "?",
                       "' in ", what, "; expected one of ", names()));
    } else if (!keys[i].place.empty()) {
      complaints.Add(name.Mark(),
                     absl::StrCat("'", keys[i].name, "' is no key of ", what,
                                  "; expected it ", keys[i].place));
    } else if (!keys[i].read) {
      complaints.Add(name.Mark(),
                     absl::StrCat("'", keys[i].name, "' in ", what,
                                  " does not exist in this release; expected ",
                                  "one of ", names()));
    } else if (seen[i]) {
      complaints.Add(name.Mark(),
                     absl::StrCat("'", keys[i].name, "' is there twice in ",
                                  what, "; expected once"));
    } else {
      seen[i] = true;
      values[i].reset(entry.second);
    }
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (seen[i]) {
      keys[i].read(values[i]);
    } else if (keys[i].required) {
      complaints.Add(node.Mark(),
                     absl::StrCat("'", keys[i].name, "' is missing in ", what));
    }
  }
}

bool IsList(const YAML::Node& node, absl::string_view what,
            Complaints& complaints) {
  if (node.IsSequence()) return true;
  complaints.Add(node.Mark(),
                 absl::StrCat(what, " is ", KindOf(node), "; expected a list"));
  return false;
}

std::optional<std::string> ReadText(const YAML::Node& node,
                                    absl::string_view what,
                                    Complaints& complaints) {
  if (node.IsScalar()) return node.Scalar();
  complaints.Add(
      node.Mark(),
      absl::StrCat(what, " is ", KindOf(node), "; expected a single value",
                   // What `limit: {{limit}}` means to YAML.
                   node.IsMap() ? " (put {{...}} in quotes)" : ""));
  return std::nullopt;
}

std::optional<bool> ReadBool(const YAML::Node& node, absl::string_view what,
                             Complaints& complaints) {
  std::optional<std::string> text = ReadText(node, what, complaints);
  if (!text) return std::nullopt;
  if (*text == "true") return true;
  if (*text == "false") return false;
  complaints.Add(node.Mark(), absl::StrCat(what, " is '", Printable(*text),
                                           "'; expected true or false"));
  return std::nullopt;
}

std::string ToJson(const YAML::Node& node,
                   const std::function<std::string(const std::string&)>& fill,
                   Complaints& complaints) {
  JsonConversion conversion{fill, complaints};
  return conversion.Convert(node, 0).dump();
}

}  // namespace midwatch::cli
