#include "base/json_schema.h"

#include <algorithm>
#include <exception>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace midwatch {
namespace {

using Json = nlohmann::json;

// What a keyword is followed by.
enum class Holds {
  kNote,
  kSchema,
  kSchemas,
  kSchemaMap,
  kItems,  // a schema, or one for each
  kDependencies,
  kDefinitions,
  kRef,
  kType,
  kEnum,
  kAny,
  kNumber,
  kPositive,
  kCount,
  kStrings,
  kBool,
};

const std::map<std::string, Holds>& Keywords() {
  static const auto* keywords =
      new std::map<std::string, Holds>{{"$schema", Holds::kNote},
                                       {"$id", Holds::kNote},
                                       {"$comment", Holds::kNote},
                                       {"title", Holds::kNote},
                                       {"description", Holds::kNote},
                                       {"default", Holds::kNote},
                                       {"examples", Holds::kNote},
                                       {"format", Holds::kNote},
                                       {"readOnly", Holds::kNote},
                                       {"writeOnly", Holds::kNote},
                                       {"deprecated", Holds::kNote},
                                       {"$ref", Holds::kRef},
                                       {"$defs", Holds::kDefinitions},
                                       {"definitions", Holds::kDefinitions},
                                       {"type", Holds::kType},
                                       {"enum", Holds::kEnum},
                                       {"const", Holds::kAny},
                                       {"multipleOf", Holds::kPositive},
                                       {"maximum", Holds::kNumber},
                                       {"exclusiveMaximum", Holds::kNumber},
                                       {"minimum", Holds::kNumber},
                                       {"exclusiveMinimum", Holds::kNumber},
                                       {"maxLength", Holds::kCount},
                                       {"minLength", Holds::kCount},
                                       {"maxItems", Holds::kCount},
                                       {"minItems", Holds::kCount},
                                       {"maxProperties", Holds::kCount},
                                       {"minProperties", Holds::kCount},
                                       {"uniqueItems", Holds::kBool},
                                       {"required", Holds::kStrings},
                                       {"properties", Holds::kSchemaMap},
                                       {"additionalProperties", Holds::kSchema},
                                       {"propertyNames", Holds::kSchema},
                                       {"dependencies", Holds::kDependencies},
                                       {"items", Holds::kItems},
                                       {"additionalItems", Holds::kSchema},
                                       {"contains", Holds::kSchema},
                                       {"if", Holds::kSchema},
                                       {"then", Holds::kSchema},
                                       {"else", Holds::kSchema},
                                       {"not", Holds::kSchema},
                                       {"allOf", Holds::kSchemas},
                                       {"anyOf", Holds::kSchemas},
                                       {"oneOf", Holds::kSchemas}};
  return *keywords;
}

absl::Status Bad(const std::string& place, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("at ", place.empty() ? "the top" : place, ": ", what));
}

// How deep brackets are nested, without a parser's stack.
int LevelsOf(absl::string_view text) {
  int level = 0, deepest = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++level);
    } else if (c == '}' || c == ']') {
      --level;
    }
  }
  return deepest;
}

int64_t ValuesIn(const Json& json) {
  int64_t values = 1;
  if (json.is_structured()) {
    for (const Json& inner : json) values += ValuesIn(inner);
  }
  return values;
}

int64_t LongestArrayIn(const Json& json) {
  int64_t longest = json.is_array() ? static_cast<int64_t>(json.size()) : 0;
  if (json.is_structured()) {
    for (const Json& inner : json) {
      longest = std::max(longest, LongestArrayIn(inner));
    }
  }
  return longest;
}

// Looks at every subschema once: what it may hold, and how many parts it has.
class SchemaWalk {
 public:
  // Takes the notes out of `root`.
  absl::Status Run(Json& root) {
    if (root.is_object()) {
      for (const char* group : {"definitions", "$defs"}) {
        if (!root.contains(group)) continue;
        if (!root[group].is_object()) {
          return Bad(absl::StrCat("/", group), "expected a map of schemas");
        }
        for (auto& [name, schema] : root[group].items()) {
          definitions_[absl::StrCat("#/", group, "/", name)] = &schema;
        }
      }
    }
    ASSIGN_OR_RETURN(parts_, Parts(root, ""));
    // Those that nothing refers to as well: what is wrong with them is said.
    for (auto& [place, schema] : definitions_) {
      RETURN_IF_ERROR(Parts(*schema, place.substr(1)).status());
    }
    return absl::OkStatus();
  }

  int64_t parts() const { return parts_; }
  bool unique_items() const { return unique_items_; }

 private:
  absl::StatusOr<int64_t> Parts(Json& schema, const std::string& place) {
    if (schema.is_boolean()) return 1;
    if (!schema.is_object()) return Bad(place, "expected a schema: a map");
    auto [known, is_new] = known_.try_emplace(&schema, kUnderWay);
    if (!is_new) {
      if (known->second != kUnderWay) return known->second;
      return Bad(place,
                 "the schema refers to itself; expected one with an end");
    }
    int64_t parts = 1;
    for (auto it = schema.begin(); it != schema.end();) {
      ASSIGN_OR_RETURN(
          int64_t inner,
          PartsOf(it.key(), it.value(), absl::StrCat(place, "/", it.key())));
      parts += inner;
      if (parts > JsonSchema::kPartsMax) {
        return Bad(place, absl::StrCat("more than ", JsonSchema::kPartsMax,
                                       " parts, with all it refers to"));
      }
      it = inner == 0 ? schema.erase(it) : std::next(it);
    }
    known_[&schema] = parts;
    return parts;
  }

  // 0 of what says nothing about documents.
  absl::StatusOr<int64_t> PartsOf(const std::string& keyword, Json& value,
                                  const std::string& place) {
    auto known = Keywords().find(keyword);
    if (keyword == "pattern" || keyword == "patternProperties") {
      return Bad(place, "patterns are not supported: one can take for ever");
    }
    if (known == Keywords().end()) {
      return Bad(place,
                 "unknown keyword; expected those of JSON Schema "
                 "draft 7");
    }
    switch (known->second) {
      case Holds::kNote:
        return 0;
      case Holds::kSchema:
        return Parts(value, place);
      case Holds::kSchemas:
        if (!value.is_array() || value.empty()) {
          return Bad(place, "expected a list of schemas");
        }
        return All(value, place);
      case Holds::kSchemaMap:
        if (!value.is_object()) return Bad(place, "expected a map of schemas");
        return All(value, place);
      case Holds::kItems:
        return value.is_array() ? All(value, place) : Parts(value, place);
      case Holds::kDependencies:
        return Dependencies(value, place);
      case Holds::kDefinitions:
        // Counted where they are referred to.
        return place == "/" + keyword
                   ? absl::StatusOr<int64_t>(1)
                   : Bad(place, "expected only at the top of the schema");
      case Holds::kRef:
        return Reference(value, place);
      default:
        RETURN_IF_ERROR(CheckValue(known->second, value, place));
        if (keyword == "uniqueItems" && value == true) unique_items_ = true;
        return ValuesIn(value);
    }
  }

  absl::StatusOr<int64_t> All(Json& schemas, const std::string& place) {
    int64_t parts = 1;
    for (auto& [key, schema] : schemas.items()) {
      ASSIGN_OR_RETURN(int64_t inner,
                       Parts(schema, absl::StrCat(place, "/", key)));
      parts += inner;
    }
    return parts;
  }

  absl::StatusOr<int64_t> Dependencies(Json& value, const std::string& place) {
    if (!value.is_object()) return Bad(place, "expected a map");
    int64_t parts = 1;
    for (auto& [key, each] : value.items()) {
      const std::string inner = absl::StrCat(place, "/", key);
      if (each.is_array()) {
        RETURN_IF_ERROR(CheckValue(Holds::kStrings, each, inner));
        parts += ValuesIn(each);
      } else {
        ASSIGN_OR_RETURN(int64_t of_one, Parts(each, inner));
        parts += of_one;
      }
    }
    return parts;
  }

  absl::StatusOr<int64_t> Reference(const Json& value,
                                    const std::string& place) {
    const std::string to = value.is_string() ? value.get<std::string>() : "";
    auto found = definitions_.find(to);
    if (found == definitions_.end() || absl::StrContains(to, '~') ||
        absl::StrContains(to, '%')) {
      return Bad(place,
                 "expected the text #/definitions/NAME or #/$defs/NAME of one "
                 "that is there; nothing is fetched");
    }
    ASSIGN_OR_RETURN(int64_t parts, Parts(*found->second, to.substr(1)));
    return parts + 1;
  }

  static absl::Status CheckValue(Holds holds, const Json& value,
                                 const std::string& place) {
    static const auto* types = new std::set<std::string>{
        "null", "boolean", "object", "array", "number", "string", "integer"};
    auto is_type = [&](const Json& type) {
      return type.is_string() && types->count(type.get<std::string>()) > 0;
    };
    auto all = [&](auto is) {
      return value.is_array() && std::all_of(value.begin(), value.end(), is);
    };
    auto is_string = [](const Json& each) { return each.is_string(); };
    switch (holds) {
      case Holds::kType:
        if (is_type(value) || (all(is_type) && !value.empty())) break;
        return Bad(place,
                   "expected null, boolean, object, array, number, "
                   "string or integer, or a list of them");
      case Holds::kEnum:
        if (value.is_array() && !value.empty()) break;
        return Bad(place, "expected a list of values");
      case Holds::kNumber:
        if (value.is_number()) break;
        return Bad(place, "expected a number");
      case Holds::kPositive:
        if (value.is_number() && value > 0) break;
        return Bad(place, "expected a number above 0");
      case Holds::kCount:
        if (value.is_number_integer() && value >= 0) break;
        return Bad(place, "expected a whole number, from 0");
      case Holds::kStrings:
        if (all(is_string)) break;
        return Bad(place, "expected a list of names");
      case Holds::kBool:
        if (value.is_boolean()) break;
        return Bad(place, "expected true or false");
      default:
        break;
    }
    return absl::OkStatus();
  }

  static constexpr int64_t kUnderWay = -1;
  std::map<std::string, Json*> definitions_;  // by what refers to them
  std::map<const Json*, int64_t> known_;
  int64_t parts_ = 0;
  bool unique_items_ = false;
};

}  // namespace

struct JsonSchema::Impl {
  Json json;
  int64_t parts = 0;
  bool unique_items = false;
  valijson::Schema schema;
};

JsonSchema::JsonSchema(std::unique_ptr<const Impl> impl)
    : impl_(std::move(impl)) {}
JsonSchema::JsonSchema(JsonSchema&&) noexcept = default;
JsonSchema& JsonSchema::operator=(JsonSchema&&) noexcept = default;
JsonSchema::~JsonSchema() = default;

absl::StatusOr<JsonSchema> JsonSchema::Parse(absl::string_view text) {
  if (text.size() > kSchemaBytesMax) {
    return Bad("", absl::StrCat(text.size(), " bytes; expected at most ",
                                kSchemaBytesMax));
  }
  if (LevelsOf(text) > kLevelsMax) {
    return Bad("", absl::StrCat("more than ", kLevelsMax, " levels"));
  }
  auto impl = std::make_unique<Impl>();
  impl->json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (impl->json.is_discarded()) return Bad("", "expected a schema in JSON");
  SchemaWalk walk;
  RETURN_IF_ERROR(walk.Run(impl->json));
  impl->parts = walk.parts();
  impl->unique_items = walk.unique_items();
  try {
    valijson::adapters::NlohmannJsonAdapter adapter(impl->json);
    valijson::SchemaParser(valijson::SchemaParser::kDraft7)
        .populateSchema(adapter, impl->schema);
  } catch (const std::exception& error) {
    return Bad("", error.what());
  }
  return JsonSchema(std::move(impl));
}

namespace {

// valijson's words for where it is: "<root>", "[name]", "[0]".
std::string PlaceOf(const std::vector<std::string>& context) {
  std::string place;
  for (absl::string_view step : context) {
    if (step == "<root>") continue;
    if (absl::ConsumePrefix(&step, "[")) absl::ConsumeSuffix(&step, "]");
    absl::StrAppend(&place, "/", step);
  }
  return place.empty() ? "the top" : place;
}

}  // namespace

std::string JsonSchema::WhyNot(absl::string_view document) const {
  constexpr size_t kWhyBytesMax = 300;
  constexpr int64_t kPlacedStepsMax = 500'000;
  if (document.size() > kDocumentBytesMax) {
    return absl::StrCat("it has ", document.size(), " bytes, of ",
                        kDocumentBytesMax, " at most");
  }
  if (LevelsOf(document) > kLevelsMax) {
    return absl::StrCat("it has more than ", kLevelsMax, " levels");
  }
  const Json json = Json::parse(document, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return "it is no JSON";
  const int64_t steps = ValuesIn(json) * impl_->parts;
  if (steps > kStepsMax) return "it has too many values to be checked";
  if (impl_->unique_items && LongestArrayIn(json) > kUniqueItemsMax) {
    return absl::StrCat("it has a list of more than ", kUniqueItemsMax,
                        " items, too many to look for equal ones");
  }
  try {
    valijson::Validator validator;
    const valijson::adapters::NlohmannJsonAdapter target(json);
    if (validator.validate(impl_->schema, target, nullptr)) return "";
    // Where, of what is not too large: every fault has a line of its own.
    if (steps > kPlacedStepsMax) return "it does not fit its schema";
    valijson::ValidationResults results;
    validator.validate(impl_->schema, target, &results);
    valijson::ValidationResults::Error error;
    if (!results.popError(error)) return "it does not fit its schema";
    std::string why =
        absl::StrCat("at ", PlaceOf(error.context), ": ", error.description);
    std::replace(why.begin(), why.end(), '\n', ' ');
    return std::string(CutUtf8(why, kWhyBytesMax));
  } catch (const std::exception& error) {
    return std::string(CutUtf8(error.what(), kWhyBytesMax));
  }
}

}  // namespace midwatch
