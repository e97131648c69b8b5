#include "engine/io/image_folder.hpp"

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>

#include "engine/config_text.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/io/resize.hpp"
#include "engine/progress.hpp"
#include "engine/threads.hpp"

namespace pixeldp {
namespace {

namespace fs = std::filesystem;

constexpr const char *synset_file = "synsets.txt", *skip_file = "skip.txt";  // beside the splits

/// The names in a folder that are kept, by their bytes.
template <typename Keep>
std::vector<std::string> names_in(const fs::path& folder, Keep keep) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    if (keep(*entry)) names.push_back(entry->path().filename().string());
  if (error) fail("cannot list the folder {}: {}", folder.string(), error.message());
  std::ranges::sort(names);
  return names;
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool is_picture(const fs::directory_entry& entry) {
  std::string ending = entry.path().extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (is_folder(entry.path()))
    fail("{}: a folder within the folder of a class: its pictures would be passed over",
         entry.path().string());
  for (const char* other : {".bmp", ".pgm", ".ppm", ".tif", ".tiff", ".webp"})
    if (ending == other)
      fail("{}: of the pictures in an image folder PNG and JPEG are read: convert it, or remove it",
           entry.path().string());
  if (ending != ".png" && ending != ".jpg" && ending != ".jpeg") return false;
  std::error_code error;
  if (!entry.is_regular_file(error))
    fail("{}: not a file that can be read{}", entry.path().string(),
         error ? ": " + error.message() : "");
  return true;
}

std::vector<std::string> classes_in(const fs::path& folder) {
  std::vector<std::string> classes =
      names_in(folder, [](const auto& entry) { return is_folder(entry.path()); });
  if (classes.empty())
    fail("{}: no folders of classes: pictures go into {}", folder.string(),
         (folder / "CLASS").string());
  for (const std::string& name : classes) {  // models name them, by lines
    if (name.find('\n') != name.npos)
      fail("{}: the name of the class '{}' has a line break", folder.string(), name);
    check_config_text(name, (folder / name).string(), false);
  }
  return classes;
}

/// The lines of ROOT/NAME, without blank ones and those that begin with '#'; nothing where there is
/// no such file.
std::optional<std::vector<std::string>> lines_of(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  const Bytes file = read_file(path);
  std::vector<std::string> lines;
  for (std::string_view text = as_text(file); !text.empty();) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty() && !line.starts_with('#')) lines.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// The classes that ROOT/synsets.txt lists: the first word of each line, or the second one behind
/// the number of the line, from 0.
std::optional<std::vector<std::string>> listed_classes(const fs::path& root) {
  auto classes = lines_of(root / synset_file);
  if (!classes) return classes;
  std::set<std::string> known;
  for (std::size_t label = 0; label < classes->size(); ++label) {
    std::string& line = (*classes)[label];
    const std::string number = std::to_string(label) + " ";
    if (line.starts_with(number)) line.erase(0, number.size());
    line.erase(std::min(line.find_first_of(" \t,"), line.size()));
    if (std::ranges::all_of(line, [](unsigned char c) { return std::isdigit(c) != 0; }))
      fail(
          "{}: class {} is called '{}': a line holds the name of a folder, or the number {} and "
          "that",
          (root / synset_file).string(), label, line, label);
    if (!known.insert(line).second)
      fail("{}: the class '{}' stands there twice", (root / synset_file).string(), line);
  }
  return classes;
}

/// The split's folder; nothing where there is none.
fs::path folder_of(std::string_view split, const fs::path& root) {
  if (split == "train") return is_folder(root / "train") ? root / "train" : fs::path();
  for (const char* name : {"test", "val"})
    if (is_folder(root / name)) return root / name;
  return {};
}

/// Labels number the classes of each split by itself: one more, or one less, would shift them.
void check_same_classes(const std::vector<std::string>& classes, const fs::path& folder,
                        const fs::path& other) {
  const std::vector<std::string> others = classes_in(other);
  const auto [mine, theirs] = std::ranges::mismatch(classes, others);
  if (mine == classes.end() && theirs == others.end()) return;
  const bool lacks = mine == classes.end() || (theirs != others.end() && *theirs < *mine);
  fail("{} has the class '{}', which {} has not: both must have the same",
       (lacks ? other : folder).string(), lacks ? *theirs : *mine,
       (lacks ? folder : other).string());
}

class FolderReader : public ImageReader {
 public:
  FolderReader(std::string name, fs::path folder, ImageForm form)
      : name_(std::move(name)), folder_(std::move(folder)), form_(form) {}

  /// Of a file in the split's folder: "CLASS/FILE".
  void add(std::string file) { files_.push_back(std::move(file)); }

  void read(std::int64_t index, std::uint8_t* pixels) const override {
    const std::string& file = files_[static_cast<std::size_t>(index)];
    try {
      const Image image = resized_centre(read_image(folder_ / file, form_.channels),
                                         form_.resized_side(), form_.height, form_.width);
      std::ranges::copy(image.pixels, pixels);
    } catch (const Error& error) {
      fail("{}; replace it, or write the line '{}' into {} to leave it out", error.what(), file,
           (folder_.parent_path() / skip_file).string());
    }
  }

  std::string sha256() const override {
    constexpr std::size_t block = 1024;
    const auto count = static_cast<std::int64_t>(files_.size());
    ProgressBar progress("read " + folder_.string(), count, "files");
    Sha256 digest;
    std::vector<std::string> lines;
    for (std::size_t begin = 0; begin < files_.size(); begin += block) {
      lines.resize(std::min(block, files_.size() - begin));
      parallel_for(std::ssize(lines), [&](std::int64_t i) {
        if (interrupted()) return;  // said below
        const std::string& file = files_[begin + static_cast<std::size_t>(i)];
        lines[static_cast<std::size_t>(i)] =
            fmt::format("{}  {}\n", sha256_file(folder_ / file), file);
        progress.advance();
      });
      if (interrupted()) fail_interrupted("interrupted while the files of {} were read", name_);
      for (const std::string& line : lines) digest.update(as_bytes(line));
    }
    return digest.hex();
  }

  std::string identity() const override {
    Sha256 digest;
    for (const std::string& file : files_) digest.update(as_bytes(file + '\n'));
    return digest.hex();
  }

  bool decodes() const override { return true; }

 private:
  std::string name_;
  fs::path folder_;
  ImageForm form_;
  std::vector<std::string> files_;
};

}  // namespace

Dataset open_image_folder(std::string_view name, std::string_view split, const fs::path& root,
                          const ImageForm& form) {
  if (form.height < 1 || form.width < 1 || (form.channels != 1 && form.channels != 3))
    fail_usage(
        "the pictures of data set {} have any size: {}x{} pixels in {} channels is none that they "
        "can be read in",
        name, form.width, form.height, form.channels);
  const fs::path folder = folder_of(split, root);
  if (folder.empty())
    fail("{}: the {} split of {} takes a folder {} with a folder of pictures for each class",
         root.string(), split, name, split == "train" ? "'train'" : "'test' or 'val'");
  Dataset dataset;
  dataset.name = name;
  dataset.split = split;
  dataset.height = form.height;
  dataset.width = form.width;
  dataset.channels = form.channels;
  const std::vector<std::string> folders = classes_in(folder);
  const auto listed = listed_classes(root);
  dataset.class_names = listed.value_or(folders);
  dataset.classes = static_cast<int>(dataset.class_names.size());
  const fs::path other = folder_of(split == "train" ? "test" : "train", root);
  if (!listed && !other.empty()) check_same_classes(dataset.class_names, folder, other);
  if (dataset.classes != form.classes)
    fail("{} has {} classes, but {} are expected (data.classes of a configuration, or a model's){}",
         listed ? (root / synset_file).string() : folder.string() + ", by its folders,",
         dataset.classes, form.classes,
         form.classes == dataset.classes + 1
             ? fmt::format(
                   "; where one of them is no class, as the first of many networks of TensorFlow, "
                   "list all in {} with a line for it",
                   (root / synset_file).string())
             : "");
  for (const std::string& cls : folders)
    if (std::ranges::find(dataset.class_names, cls) == dataset.class_names.end())
      fail("{}: the class '{}' is not in {}", folder.string(), cls, (root / synset_file).string());
  std::set<std::string> skipped;
  for (const std::string& file : lines_of(root / skip_file).value_or(std::vector<std::string>()))
    skipped.insert(file);

  const auto reader = std::make_shared<FolderReader>(dataset.name, folder, form);
  for (std::int32_t label = 0; label < dataset.classes; ++label) {
    const std::string& cls = dataset.class_names[static_cast<std::size_t>(label)];
    if (listed && !is_folder(folder / cls)) continue;
    std::vector<std::string> files = names_in(folder / cls, is_picture);
    if (files.empty()) fail("{}: no pictures (.png, .jpg, .jpeg)", (folder / cls).string());
    std::erase_if(files,
                  [&](const std::string& file) { return skipped.contains(cls + "/" + file); });
    for (const std::string& file : files) reader->add(cls + "/" + file);
    dataset.labels.insert(dataset.labels.end(), files.size(), label);
  }
  dataset.images = reader;
  return dataset;
}

}  // namespace pixeldp
