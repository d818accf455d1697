// Writes the transforms of src/apply/node/registration/testing/itk/ with ITK itself, and where it brings points: see CMakeLists.txt beside.
#include <fstream>
#include <iomanip>
#include <itkAffineTransform.h>
#include <itkCompositeTransform.h>
#include <itkDisplacementFieldTransform.h>
#include <itkEuler3DTransform.h>
#include <itkImageFileWriter.h>
#include <itkSimilarity3DTransform.h>
#include <itkTransformFileWriter.h>
#include <itkTranslationTransform.h>
#include <itkVersorRigid3DTransform.h>

using Base = itk::Transform<double, 3, 3>;
using Field = itk::DisplacementFieldTransform<double, 3>;
using Composite = itk::CompositeTransform<double, 3>;
static std::ofstream points;
static bool first = true;

template <typename T> void save(const std::string & folder, const std::string & name, T transform) {
  auto writer = itk::TransformFileWriterTemplate<double>::New();
  writer->SetFileName(folder + "/" + name);
  writer->SetInput(transform);
  writer->Update();
  points << (first ? "{\n" : ",\n") << "  \"" << name << "\": [";
  first = false;
  const double list[4][3] = { { 1, 2, 3 }, { -8.5, 12.25, 30 }, { 4, 9, 14 }, { 200, -100, 50 } };
  for (int i = 0; i < 4; i++) {
    const auto p = transform->TransformPoint(list[i]);
    points << (i ? ", " : "") << "[" << p[0] << ", " << p[1] << ", " << p[2] << "]";
  }
  points << "]";
}

int main(int, char ** argv) {
  const std::string folder = argv[1];
  points.open(folder + "/points.json");
  points << std::setprecision(12);
  const double centre[3] = { 5, -6, 7 };

  auto affine = itk::AffineTransform<double, 3>::New();
  itk::AffineTransform<double, 3>::MatrixType m;
  const double values[9] = { 1.1, 0.2, -0.1, -0.15, 0.9, 0.05, 0.02, -0.3, 1.2 };
  for (int i = 0; i < 9; i++) m(i / 3, i % 3) = values[i];
  affine->SetCenter(centre);
  affine->SetMatrix(m);
  const double shift[3] = { 3, -4, 5.5 };
  affine->SetTranslation(shift);
  save(folder, "affine.tfm", affine);
  save(folder, "affine.mat", affine);
  save(folder, "affine.h5", affine);

  auto euler = itk::Euler3DTransform<double>::New();
  euler->SetCenter(centre);
  euler->SetRotation(0.3, -0.2, 0.5);
  euler->SetTranslation(shift);
  save(folder, "euler.tfm", euler);
  auto zyx = itk::Euler3DTransform<double>::New();
  zyx->SetComputeZYX(true);
  zyx->SetCenter(centre);
  zyx->SetRotation(0.3, -0.2, 0.5);
  zyx->SetTranslation(shift);
  save(folder, "euler-zyx.tfm", zyx);

  auto versor = itk::VersorRigid3DTransform<double>::New();
  itk::Versor<double> turn;
  const itk::Vector<double, 3> axis(std::array<double, 3>{ { 1, 2, -0.5 } }.data());
  turn.Set(axis, 0.7);
  versor->SetCenter(centre);
  versor->SetRotation(turn);
  versor->SetTranslation(shift);
  save(folder, "versor.tfm", versor);
  auto similarity = itk::Similarity3DTransform<double>::New();
  similarity->SetCenter(centre);
  similarity->SetRotation(turn);
  similarity->SetTranslation(shift);
  similarity->SetScale(1.3);
  save(folder, "similarity.tfm", similarity);
  auto translation = itk::TranslationTransform<double, 3>::New();
  translation->SetOffset(shift);
  save(folder, "translation.tfm", translation);

  auto image = Field::DisplacementFieldType::New();
  Field::DisplacementFieldType::SizeType size = { { 6, 5, 4 } };
  image->SetRegions(size);
  const double origin[3] = { 10, 20, 5 };
  const double spacing[3] = { 4, 5, 6 };
  image->SetOrigin(origin);
  image->SetSpacing(spacing);
  Field::DisplacementFieldType::DirectionType d;
  d.Fill(0);
  d(0, 1) = d(2, 2) = 1;
  d(0, 0) = d(1, 1) = 0;
  d(1, 0) = -1;
  image->SetDirection(d);
  image->Allocate();
  for (int k = 0; k < 4; k++)
    for (int j = 0; j < 5; j++)
      for (int i = 0; i < 6; i++) {
        Field::DisplacementFieldType::PixelType v;
        v[0] = 0.1 * i - 0.05 * k;
        v[1] = 0.2 * j * i - 1;
        v[2] = 1.5 - 0.3 * k * j;
        const Field::DisplacementFieldType::IndexType at = { { i, j, k } };
        image->SetPixel(at, v);
      }
  auto field = Field::New();
  field->SetDisplacementField(image);
  auto fieldWriter = itk::ImageFileWriter<Field::DisplacementFieldType>::New();
  fieldWriter->SetInput(image);
  fieldWriter->SetFileName(folder + "/field.nii.gz");
  fieldWriter->Update();
  save(folder, "field.h5", field);

  auto composite = Composite::New();
  composite->AddTransform(affine);
  composite->AddTransform(field);
  save(folder, "composite.h5", composite);
  auto affines = Composite::New();
  affines->AddTransform(affine);
  affines->AddTransform(euler);
  save(folder, "composite.tfm", affines);
  points << "\n}\n";
}
