#include "hub/listing.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/digest.h"
#include "base/json.h"

namespace merope {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{1} << 50;

using SayWait = std::function<void(const std::string&)>;

struct Query {
  HttpClient& client;
  const HubAccess& hub;
  const ModelName& name;
  const SayWait& say;
};

Result<HttpResponse> Ask(const Query& query, const std::string& path) {
  const HttpRequest request{.url = query.hub.endpoint + path,
                            .headers = query.hub.headers,
                            .stall_seconds = query.hub.stall_seconds,
                            .stop = query.hub.stop};
  return SendPatiently(query.client, request, query.say);
}

// The place of an API's answer, for messages.
std::string PlaceOf(const Query& query, const std::string& path) {
  return PublicUrl(query.hub.endpoint + path);
}

Result<Json> JsonOf(const Query& query, const HttpResponse& response, const std::string& path) {
  const std::string_view type = response.Header("content-type");
  if (!type.contains("json"))
    return Err(
        "{}: expected JSON, found {}; is the endpoint right, and does a proxy answer for it?",
        PlaceOf(query, path), type.empty() ? "no Content-Type" : type);
  return ParseJson(response.body, PlaceOf(query, path));
}

// "; near names: A, B", from the hub's own search. Empty if the search fails or finds nothing.
std::string NearNames(const Query& query) {
  constexpr size_t kShown = 3;
  const std::string& id = query.name.id;
  const std::string name = id.substr(id.find('/') + 1);
  const bool hf = query.hub.kind == HubKind::kHuggingFace;
  // The whole name, then its first word: "Qwen3-0.6" is in "Qwen3-0.6B", "Qwen3-0.7B" is not.
  for (const std::string& words : {name, name.substr(0, name.find_first_of("-_."))}) {
    const std::string path = hf ? "/api/models?limit=5&search=" + EscapeComponent(words)
                                : "/openapi/v1/models?page_size=5&search=" + EscapeComponent(words);
    const HttpRequest request{.url = query.hub.endpoint + path,
                              .headers = query.hub.headers,
                              .stall_seconds = query.hub.stall_seconds,
                              .stop = query.hub.stop};
    const auto response = query.client.Send(request);
    if (!response || !response->ok()) continue;
    const auto json = ParseJson(response->body, path);
    if (!json) continue;
    const Json* list = &*json;
    if (!hf) {
      const auto data = json->find("data");
      if (data == json->end() || !data->is_object() || !data->contains("models")) continue;
      list = &data->at("models");
    }
    if (!list->is_array()) continue;
    std::vector<std::string> names;
    for (const Json& model : *list) {
      const auto found = model.is_object() ? model.find("id") : model.end();
      if (model.is_object() && found != model.end() && found->is_string() && names.size() < kShown)
        names.push_back(found->get<std::string>());
    }
    if (!names.empty()) return fmt::format("; near names: {}", fmt::join(names, ", "));
  }
  return "";
}

std::unexpected<Error> NoModel(const Query& query) {
  auto error =
      Err("{} has no model {}, or it is private and needs a token{}{}", query.hub.endpoint,
          query.name.id, query.hub.has_token ? "" : fmt::format(" ({})", query.hub.token_variable),
          NearNames(query));
  error.error().code = ErrorCode::kNotFound;
  return error;
}

// The error of an answer that is not 2xx.
std::unexpected<Error> Refused(const Query& query, const HttpResponse& response,
                               const std::string& path) {
  const std::string_view code = response.Header("x-error-code");
  const std::string& id = query.name.id;
  if (code == "GatedRepo" || response.status == 403)
    return Err(
        "{} is gated: accept its conditions at {}/{}, then set {} to a token of that account{}", id,
        query.hub.endpoint, query.hub.kind == HubKind::kHuggingFace ? id : "models/" + id,
        query.hub.token_variable, query.hub.has_token ? " (the present token has no access)" : "");
  if (response.status == 401 && query.hub.has_token && code != "RepoNotFound")
    return Err("{}: the token of {} was refused ({})", query.hub.endpoint, query.hub.token_variable,
               response.Describe());
  if (code == "RevisionNotFound") return Err("{} has no revision \"{}\"", id, query.name.revision);
  if (response.status == 404 || response.status == 401) return NoModel(query);
  return Err("{}: {}", PlaceOf(query, path), response.Describe());
}

// A file's name becomes a path in the cache.
Status CheckPath(const std::string& path, const std::string& place) {
  bool safe = !path.empty() && path.size() < 1024 && path.front() != '/' &&
              path.find('\\') == std::string::npos &&
              std::ranges::none_of(path, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  for (size_t begin = 0; safe && begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = std::string_view(path).substr(begin, end - begin);
    safe = !part.empty() && part != "." && part != ".." && part.size() < 256;
    begin = end + 1;
  }
  if (safe) return {};
  return Err("{}: expected a relative file name without \"..\", found {}", place,
             Describe(Json(path)));
}

bool IsHex(std::string_view text, size_t digits) {
  return text.size() == digits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<HubFile> HuggingFaceFile(const Query& query, const Json& entry, const std::string& commit,
                                const std::string& place) {
  if (!entry.is_object()) return Err("{}: expected objects, found {}", place, Describe(entry));
  const JsonFields fields(entry, place);
  TRY_ASSIGN(const auto path, fields.String("rfilename"));
  if (!path) return Err("{}: expected a string, found none", fields.Path("rfilename"));
  TRY(CheckPath(*path, fields.Path("rfilename")));
  HubFile file{.path = *path};
  TRY_ASSIGN(const auto size, fields.Integer("size", 0, kMaxFileBytes));
  TRY_ASSIGN(const auto blob, fields.String("blobId"));
  if (!size || !blob)
    return Err("{}: {}: expected size and blobId; does this endpoint know ?blobs=true?", place,
               *path);
  file.size = *size;
  file.hash = *blob;
  file.hash_kind = HubFile::Hash::kGitSha1;
  if (const Json* lfs = fields.Find("lfs")) {
    if (!lfs->is_object()) return Err("{}: expected an object", fields.Path("lfs"));
    const JsonFields inner(*lfs, fields.Path("lfs"));
    TRY_ASSIGN(const auto sha256, inner.String("sha256"));
    if (!sha256) return Err("{}: expected a string, found none", inner.Path("sha256"));
    file.hash = *sha256;
    file.hash_kind = HubFile::Hash::kSha256;
  }
  if (!IsHex(file.hash, file.hash_kind == HubFile::Hash::kSha256 ? 64 : 40))
    return Err("{}: {}: expected a hash in hexadecimal, found {}", place, *path,
               Describe(Json(file.hash)));
  file.url = fmt::format("{}/{}/resolve/{}/{}", query.hub.endpoint, query.name.id, commit,
                         EscapePath(*path));
  return file;
}

// The API of huggingface_hub's HfApi.model_info(files_metadata=True).
Result<HubListing> ListHuggingFace(const Query& query) {
  HubListing listing{.revision = query.name.revision.empty() ? "main" : query.name.revision};
  const std::string path = fmt::format("/api/models/{}/revision/{}?blobs=true", query.name.id,
                                       EscapeComponent(listing.revision));
  TRY_ASSIGN(const HttpResponse response, Ask(query, path));
  if (!response.ok()) return Refused(query, response, path);
  TRY_ASSIGN(const Json json, JsonOf(query, response, path));
  const std::string place = PlaceOf(query, path);
  const JsonFields fields(json, place);
  if (!json.is_object()) return Err("{}: expected an object, found {}", place, Describe(json));
  TRY_ASSIGN(const auto commit, fields.String("sha"));
  if (!commit || !IsHex(*commit, 40))
    return Err("{}: expected a commit of 40 hexadecimal digits", fields.Path("sha"));
  listing.commit = *commit;
  const Json* files = fields.Find("siblings");
  if (files == nullptr || !files->is_array())
    return Err("{}: expected a list of files", fields.Path("siblings"));
  for (const Json& entry : *files) {
    TRY_ASSIGN(HubFile file, HuggingFaceFile(query, entry, *commit, fields.Path("siblings")));
    listing.files.push_back(std::move(file));
  }
  return listing;
}

Result<std::optional<HubFile>> ModelScopeFile(const Query& query, const Json& entry,
                                              const std::string& revision,
                                              const std::string& place) {
  if (!entry.is_object()) return Err("{}: expected objects, found {}", place, Describe(entry));
  const JsonFields fields(entry, place);
  TRY_ASSIGN(const auto type, fields.String("Type"));
  if (type == "tree") return std::nullopt;
  TRY_ASSIGN(const auto path, fields.String("Path"));
  if (!path) return Err("{}: expected a string, found none", fields.Path("Path"));
  TRY(CheckPath(*path, fields.Path("Path")));
  TRY_ASSIGN(const auto size, fields.Integer("Size", 0, kMaxFileBytes));
  TRY_ASSIGN(const auto sha256, fields.String("Sha256"));
  if (!size || !sha256 || !IsHex(*sha256, 64))
    return Err("{}: {}: expected Size and a Sha256 of 64 hexadecimal digits", place, *path);
  return HubFile{
      .path = *path,
      .size = *size,
      .hash_kind = HubFile::Hash::kSha256,
      .hash = *sha256,
      .url = fmt::format("{}/api/v1/models/{}/repo?Revision={}&FilePath={}", query.hub.endpoint,
                         query.name.id, EscapeComponent(revision), EscapeComponent(*path))};
}

// The API of modelscope_hub's list_repo_files.
Result<HubListing> ListModelScope(const Query& query) {
  constexpr size_t kTruncation = 3000;  // of the server; it says nothing when it cuts
  HubListing listing{.revision = query.name.revision.empty() ? "master" : query.name.revision};
  const std::string path = fmt::format("/api/v1/models/{}/repo/files?Revision={}&Recursive=True",
                                       query.name.id, EscapeComponent(listing.revision));
  TRY_ASSIGN(const HttpResponse response, Ask(query, path));
  if (!response.ok()) return Refused(query, response, path);
  TRY_ASSIGN(const Json json, JsonOf(query, response, path));
  const std::string place = PlaceOf(query, path);
  if (!json.is_object()) return Err("{}: expected an object, found {}", place, Describe(json));
  const JsonFields fields(json, place);
  const Json* data = fields.Find("Data");
  const Json* files = nullptr;
  if (data != nullptr && data->is_object() && data->contains("Files")) files = &data->at("Files");
  if (files == nullptr || !files->is_array()) {
    TRY_ASSIGN(const auto message, fields.String("Message"));
    return Err("{}: expected Data.Files, a list{}", place,
               message ? fmt::format("; the hub says: {}", *message) : "");
  }
  if (files->size() >= kTruncation)
    return Err("{}: expected fewer than {} files, found {}: the hub cuts such lists", place,
               kTruncation, files->size());
  Sha1 names;
  for (const Json& entry : *files) {
    TRY_ASSIGN(std::optional<HubFile> file,
               ModelScopeFile(query, entry, listing.revision, place + ": Data.Files"));
    if (!file) continue;
    const std::string line = fmt::format("{} {}\n", file->hash, file->path);
    names.Add(std::as_bytes(std::span(line)));
    listing.files.push_back(std::move(*file));
  }
  listing.commit = names.Hex();
  return listing;
}

}  // namespace

HubAccess AccessTo(HubKind kind, const HubSettings& settings) {
  const bool hf = kind == HubKind::kHuggingFace;
  const std::string& token = hf ? settings.hugging_face_token : settings.modelscope_token;
  HubAccess hub{.kind = kind,
                .name = hf ? "Hugging Face" : "ModelScope",
                .endpoint = hf ? settings.hugging_face : settings.modelscope,
                .headers = {},
                .token_variable = hf ? "HF_TOKEN" : "MODELSCOPE_API_TOKEN",
                .has_token = !token.empty(),
                .stall_seconds = settings.stall_seconds,
                .stop = settings.stop};
  if (hub.has_token) hub.headers.push_back("Authorization: Bearer " + token);
  if (hub.has_token && !hf) hub.headers.push_back("Cookie: m_session_id=" + token);
  return hub;
}

Result<HubListing> ListFiles(HttpClient& client, const HubAccess& hub, const ModelName& name,
                             const SayWait& say) {
  const Query query{client, hub, name, say};
  return hub.kind == HubKind::kHuggingFace ? ListHuggingFace(query) : ListModelScope(query);
}

}  // namespace merope
