// libcurl's parser of URLs.
#ifndef MIDWATCH_NET_CURL_URL_H_
#define MIDWATCH_NET_CURL_URL_H_

#include <curl/curl.h>

#include <memory>
#include <string>

namespace midwatch {

struct CurlUrlCloser {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UniqueCurlUrl = std::unique_ptr<CURLU, CurlUrlCloser>;

// Empty where the URL has no such part.
inline std::string UrlPart(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return "";
  std::string out = text;
  curl_free(text);
  return out;
}

}  // namespace midwatch

#endif  // MIDWATCH_NET_CURL_URL_H_
