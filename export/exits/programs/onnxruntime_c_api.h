// What predict.cpp uses of ONNX Runtime's C interface, for compilers that have the library without its headers.
//
// A function is found by its place in OrtApi, which never changes: new ones are added at the end. With the headers of
// ONNX Runtime 1.22 or later installed this file can be deleted; the names are theirs.
#pragma once

#include <cstddef>
#include <cstdint>

#define ORT_API_VERSION 22

struct OrtAllocator;
struct OrtEnv;
struct OrtRunOptions;
struct OrtSession;
struct OrtSessionOptions;
struct OrtStatus;
struct OrtTensorTypeAndShapeInfo;
struct OrtValue;

enum OrtLoggingLevel { ORT_LOGGING_LEVEL_ERROR = 3 };
enum ONNXTensorElementDataType {
  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 = 7,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING = 8,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL = 9,
};

// `unused` are functions that are not called here; the number is the place of the next one.
struct OrtApi {
  void* unused_0[2];
  const char* (*GetErrorMessage)(const OrtStatus*);                                             // 2
  OrtStatus* (*CreateEnv)(OrtLoggingLevel, const char*, OrtEnv**);                              // 3
  void* unused_4[3];
  OrtStatus* (*CreateSession)(const OrtEnv*, const char*, const OrtSessionOptions*, OrtSession**);  // 7
  void* unused_8[1];
  OrtStatus* (*Run)(OrtSession*, const OrtRunOptions*, const char* const*, const OrtValue* const*, size_t,
                    const char* const*, size_t, OrtValue**);                                    // 9
  OrtStatus* (*CreateSessionOptions)(OrtSessionOptions**);                                      // 10
  void* unused_11[13];
  OrtStatus* (*SetIntraOpNumThreads)(OrtSessionOptions*, int);                                  // 24
  void* unused_25[5];
  OrtStatus* (*SessionGetInputCount)(const OrtSession*, size_t*);                               // 30
  OrtStatus* (*SessionGetOutputCount)(const OrtSession*, size_t*);                              // 31
  void* unused_32[5];
  OrtStatus* (*SessionGetOutputName)(const OrtSession*, size_t, OrtAllocator*, char**);         // 37
  void* unused_38[10];
  OrtStatus* (*CreateTensorAsOrtValue)(OrtAllocator*, const int64_t*, size_t, ONNXTensorElementDataType,
                                       OrtValue**);                                             // 48
  void* unused_49[2];
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void**);                                        // 51
  OrtStatus* (*FillStringTensor)(OrtValue*, const char* const*, size_t);                        // 52
  OrtStatus* (*GetStringTensorDataLength)(const OrtValue*, size_t*);                            // 53
  OrtStatus* (*GetStringTensorContent)(const OrtValue*, void*, size_t, size_t*, size_t);        // 54
  void* unused_55[5];
  OrtStatus* (*GetTensorElementType)(const OrtTensorTypeAndShapeInfo*, ONNXTensorElementDataType*);  // 60
  void* unused_61[3];
  OrtStatus* (*GetTensorShapeElementCount)(const OrtTensorTypeAndShapeInfo*, size_t*);          // 64
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*, OrtTensorTypeAndShapeInfo**);            // 65
  void* unused_66[12];
  OrtStatus* (*GetAllocatorWithDefaultOptions)(OrtAllocator**);                                 // 78
  void* unused_79[17];
  void (*ReleaseValue)(OrtValue*);                                                              // 96
  void* unused_97[2];
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo*);                            // 99
};

struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

extern "C" const OrtApiBase* OrtGetApiBase() noexcept;
