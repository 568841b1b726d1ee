// Answer texts with the model in the folder `model`: ./predict TEXT…
// A model with languages takes the language before each text: ./predict en "a text" ne "another".
//     ln -s LIBRARY libonnxruntime.so.1
//     g++ -std=c++17 -O2 predict.cpp -o predict ./libonnxruntime.so.1 -Wl,-rpath,'$ORIGIN'
// LIBRARY is ONNX Runtime's: PyPI's onnxruntime (capi/), npm's onnxruntime-node (bin/) and its releases have it.
// onnxruntime_c_api.h beside this file declares what is used of it.
#include "onnxruntime_c_api.h"

#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <string>
#include <vector>

static const OrtApi* ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);

static void check(OrtStatus* status) {
  if (status == nullptr) return;
  std::cerr << ort->GetErrorMessage(status) << "\n";
  std::exit(1);
}

static OrtValue* string_tensor(const char* text) {
  OrtAllocator* allocator;
  OrtValue* tensor;
  const int64_t shape[] = {1};
  check(ort->GetAllocatorWithDefaultOptions(&allocator));
  check(ort->CreateTensorAsOrtValue(allocator, shape, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &tensor));
  check(ort->FillStringTensor(tensor, &text, 1));
  return tensor;
}

static void print_strings(const OrtValue* value, size_t count) {
  size_t size;
  check(ort->GetStringTensorDataLength(value, &size));
  std::string content(size, '\0');
  std::vector<size_t> starts(count + 1, size);
  check(ort->GetStringTensorContent(value, content.data(), size, starts.data(), count));
  for (size_t i = 0; i < count; ++i) std::cout << "\t" << content.substr(starts[i], starts[i + 1] - starts[i]);
}

static void print_values(OrtValue* value) {
  OrtTensorTypeAndShapeInfo* info;
  ONNXTensorElementDataType type;
  size_t count;
  check(ort->GetTensorTypeAndShape(value, &info));
  check(ort->GetTensorElementType(info, &type));
  check(ort->GetTensorShapeElementCount(info, &count));
  ort->ReleaseTensorTypeAndShapeInfo(info);
  if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING) return print_strings(value, count);
  void* data;
  check(ort->GetTensorMutableData(value, &data));
  for (size_t i = 0; i < count; ++i) {
    std::cout << "\t";
    if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) std::cout << static_cast<float*>(data)[i];
    if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) std::cout << static_cast<int64_t*>(data)[i];
    if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL) std::cout << (static_cast<bool*>(data)[i] ? "true" : "false");
  }
}

int main(int count, char** given) {
  if (ort == nullptr) return std::cerr << "This libonnxruntime.so is older than 1.22.\n", 1;
  const std::string self = given[0];
  const std::string file = self.substr(0, self.find_last_of('/') + 1) + "model/model.onnx";
  OrtEnv* env;
  OrtSessionOptions* options;
  OrtSession* session;
  OrtAllocator* allocator;
  size_t inputs, outputs;
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "predict", &env));
  check(ort->CreateSessionOptions(&options));
  check(ort->SetIntraOpNumThreads(options, 1));
  check(ort->CreateSession(env, file.c_str(), options, &session));
  check(ort->GetAllocatorWithDefaultOptions(&allocator));
  check(ort->SessionGetInputCount(session, &inputs));
  check(ort->SessionGetOutputCount(session, &outputs));
  std::vector<char*> names(outputs);
  for (size_t i = 0; i < outputs; ++i) check(ort->SessionGetOutputName(session, i, allocator, &names[i]));
  const char* const feeds[] = {"texts", "languages"};

  std::cout << std::setprecision(9);
  const int step = static_cast<int>(inputs);
  for (int first = 1; first + step <= count; first += step) {  // one by one: a call is padded to its longest text
    const OrtValue* asked[] = {string_tensor(given[first + step - 1]), step > 1 ? string_tensor(given[first]) : nullptr};
    std::vector<OrtValue*> found(outputs, nullptr);
    check(ort->Run(session, nullptr, feeds, asked, inputs, names.data(), outputs, found.data()));
    std::cout << "text\t" << (first - 1) / step + 1 << "\n";
    for (size_t i = 0; i < outputs; ++i) {
      std::cout << names[i];
      print_values(found[i]);
      std::cout << "\n";
      ort->ReleaseValue(found[i]);
    }
    for (size_t i = 0; i < inputs; ++i) ort->ReleaseValue(const_cast<OrtValue*>(asked[i]));
  }
}
