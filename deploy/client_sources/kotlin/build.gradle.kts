// Parts for app/build.gradle.kts. The bundle goes into app/src/main/assets/bundle, Classifier.kt to the other sources.

android {
    defaultConfig { minSdk = 24 }
    // Models are read as they are; compressing them only costs time at the start.
    androidResources { noCompress += listOf("onnx", "ort", "bin") }
}

dependencies {
    implementation("com.microsoft.onnxruntime:onnxruntime-android:1.22.0")
}
